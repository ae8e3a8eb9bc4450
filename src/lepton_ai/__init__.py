"""The modules of `lepton` under the name of the distribution."""
