"""labtool: from a bare virtual machine to two phones talking over your own Flexisip."""

__version__ = "0.1.0"
