"""Networks that others trained, as the beginning of one's own: from files of this machine, and safetensors alone."""
