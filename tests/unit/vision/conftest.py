"""One thread is as fast as two for tiny models, and lets several test processes share a machine."""

import torch

torch.set_num_threads(1)
