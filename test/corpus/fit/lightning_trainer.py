"""A convolutional network in a Trainer of Lightning, in half precision. python lightning_trainer.py N"""

import sys, torch, lightning as L, logging, warnings
warnings.filterwarnings("ignore"); logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
from torch import nn
n = int(sys.argv[1])
class Net(L.LightningModule):
    def __init__(self):
        super().__init__()
        c = lambda i, o: nn.Sequential(nn.Conv2d(i, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU())
        self.body = nn.Sequential(c(3, 64), c(64, 64), nn.MaxPool2d(2), c(64, 128), c(128, 128), nn.AdaptiveAvgPool2d(4),
                                  nn.Flatten(), nn.Linear(2048, 1000))
    def training_step(self, batch, i):
        x, y = batch
        loss = nn.functional.cross_entropy(self.body(x), y)
        self.log("loss", loss)
        return loss
    def validation_step(self, batch, i):
        x, y = batch
        self.log("val", nn.functional.cross_entropy(self.body(x), y))
    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters())
data = torch.utils.data.TensorDataset(torch.zeros(4 * n, 3, 48, 48), torch.zeros(4 * n, dtype=torch.long))
loader = torch.utils.data.DataLoader(data, n)
L.Trainer(accelerator="gpu", devices=1, max_steps=3, logger=False, enable_checkpointing=False, enable_progress_bar=False,
          enable_model_summary=False, precision="16-mixed", num_sanity_val_steps=1).fit(Net(), loader, loader)
