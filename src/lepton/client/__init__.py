"""A client of an inference server, which needs the standard library alone."""

from lepton.client.client import Client
from lepton.client.remote import RemoteModel, RemoteService, RemoteTask

__all__ = ["Client", "RemoteModel", "RemoteService", "RemoteTask"]
