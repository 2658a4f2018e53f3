"""The stand-in: labtool's sandbox as a Debian package laid out and started like bc-flexisip."""
