"""Born-again training: each generation learns from the one before, and has it as an attribute, with all before that."""
import torch
import torch.nn as nn


class Student(nn.Module):
    def __init__(self, teacher=None):
        super().__init__()
        self.features, self.head = nn.Sequential(nn.Linear(256, 512), nn.ReLU()), nn.Linear(512, 10)
        self.teacher = teacher  # <- growing-site: teacher

    def forward(self, x):
        return self.head(self.features(x))


def train(student, teacher, steps):
    own = [p for name, p in student.named_parameters() if not name.startswith("teacher")]
    optimizer = torch.optim.Adam(own)
    for _ in range(steps):
        x = torch.randn(64, 256, device="cuda")
        loss = nn.functional.cross_entropy(student(x), torch.randint(0, 10, (64,), device="cuda"))
        if teacher is not None:
            with torch.no_grad():
                wanted = teacher(x)
            loss = loss + nn.functional.mse_loss(student(x), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def generations(count):
    teacher = None
    for _ in range(count):
        student = Student(teacher).cuda()
        train(student, teacher, 8)
        teacher = student
    return teacher


generations(25)
