"""A helper that stays, but holds no GPU memory."""
import subprocess
import sys

import torch

held = torch.zeros(8, 1024, 1024, device="cuda")
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"], stdin=subprocess.DEVNULL,
                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
