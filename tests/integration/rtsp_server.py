"""An RTSP server for tests, on loopback and over TCP only. Usage: /usr/bin/python3 rtsp_server.py PORT (0: a free one)

`/red` is a red picture; `/clock` is grey, as bright as `brightness(time.time())`, so that a frame's age can be seen.
Runs with the system's Python (Debian: python3-gi, gir1.2-gst-rtsp-server-1.0, gstreamer1.0-plugins-ugly for x264enc).
"""

import sys
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

ENCODE = "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 ! rtph264pay name=pay0 pt=96"
SIZE = "width=320,height=240,framerate=25/1"
SOURCES = {
    "/red": f"videotestsrc is-live=true pattern=red ! video/x-raw,{SIZE}",
    "/clock": f"appsrc name=src is-live=true do-timestamp=true format=time caps=video/x-raw,format=RGB,{SIZE}"
    " ! videoconvert ! video/x-raw,format=I420",
}


def brightness(now_s):
    """Return 20 to 219, one step every 20 ms."""
    return 20 + int(now_s * 50) % 200


def tick(source):
    """Show the time."""
    source.emit("push-buffer", Gst.Buffer.new_wrapped(bytes([brightness(time.time())]) * (320 * 240 * 3)))
    return True


def main():
    """Serve until killed."""
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(sys.argv[1])
    for path, source in SOURCES.items():
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(f"( {source} ! {ENCODE} )")
        factory.set_protocols(GstRtsp.RTSPLowerTrans.TCP)
        factory.set_shared(True)
        if path == "/clock":
            factory.connect(
                "media-configure",
                lambda _, media: GLib.timeout_add(40, tick, media.get_element().get_by_name("src")),
            )
        server.get_mount_points().add_factory(path, factory)
    if not server.attach(None):
        sys.exit("the port is taken")
    print("ready", server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


main()
