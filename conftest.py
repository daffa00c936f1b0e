"""What all tests of this repository share."""

import signal

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # a run in the background is given SIGINT ignored, and its children would inherit that
    signal.signal(signal.SIGINT, signal.default_int_handler)
