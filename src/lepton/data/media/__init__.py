"""Files as rows: folders and archives of images, sounds and texts, and tables whose cells name or hold such files."""

from lepton.data.media.read import is_media_place, open_media

__all__ = ["is_media_place", "open_media"]
