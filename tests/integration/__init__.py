"""Tests against a real service in a real machine: systemd containers, a signed repository, SSH.

What they need (a Docker engine, debootstrap) they install and start themselves where they may,
that is as root on Debian or Ubuntu; elsewhere they skip and say why.
"""
