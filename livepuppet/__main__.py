"""`python -m livepuppet` is `livepuppet`."""

import sys

from livepuppet.cli import main

sys.exit(main())
