"""Where pictures come from: folders, videos, cameras, RTSP, GStreamer and a test pattern."""

from edge.sources.address import open_source
from edge.sources.capture import Capture, Source, WhenFull
from edge.sources.capture_queue import CaptureQueue, feed

__all__ = ["Capture", "CaptureQueue", "Source", "WhenFull", "feed", "open_source"]
