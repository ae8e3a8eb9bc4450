"""`python -m lepton` is `lepton`."""

from lepton.cli.main import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
