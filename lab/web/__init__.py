"""The live page, the replay of finished runs, their library and comparisons: served on loopback.

The server reduces a run's messages in Python and renders every part of the page there; the browser
puts the parts in place and draws the charts. So there is one reducer and one rendering, and what a
page shows at any moment of a run can be tested without a browser.
"""

from __future__ import annotations

from lab.web.recording import Recording, recorded
from lab.web.server import PageServer

__all__ = ["PageServer", "Recording", "recorded"]
