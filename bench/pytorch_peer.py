#!/usr/bin/env python3
"""The default network in PyTorch, timed: one line "MODE images/s RATE".

Images are random bytes that already lie in memory, so only scaling, the network and the optimizer are timed: what
train_tinyimagenet and starling-evaluate do beyond that is to their disadvantage. bench/compare_pytorch.sh runs this in
turns with them. Needs torch (Debian: python3-torch).
"""
import argparse
import time

import torch
from torch import nn

# input channels, output channels, kernel, pool behind it
BLOCKS = ((3, 32, 3, False), (32, 64, 3, True), (64, 128, 2, False), (128, 256, 2, True), (256, 256, 2, False),
          (256, 512, 2, True))
WARM_UP = 3


def build(classes):
    stages = []
    for inputs, outputs, kernel, pool in BLOCKS:
        # `same` padding puts the odd pixel at the bottom and right.
        before, after = (kernel - 1) // 2, kernel // 2
        stages += [nn.ZeroPad2d((before, after, before, after)) if before != after else nn.Identity(),
                   nn.Conv2d(inputs, outputs, kernel, padding=before if before == after else 0, bias=False),
                   nn.BatchNorm2d(outputs), nn.LeakyReLU(0.1, inplace=True)]
        if pool:
            stages.append(nn.MaxPool2d(2))
    stages += [nn.Conv2d(BLOCKS[-1][1], classes, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*stages).to(memory_format=torch.channels_last)


def make_step(mode, net, images, labels):
    """A function that handles one batch."""
    def scaled():
        return (images.permute(0, 3, 1, 2).float() / 255).contiguous(memory_format=torch.channels_last)

    if mode == "infer":
        net.eval()

        def infer():
            with torch.inference_mode():
                net(scaled()).softmax(1)
        return infer

    convolutions = [m.weight for m in net.modules() if isinstance(m, nn.Conv2d)]
    others = [p for p in net.parameters() if all(p is not w for w in convolutions)]
    optimizer = torch.optim.Adam([{"params": convolutions, "weight_decay": 1e-4}, {"params": others}], lr=1e-3,
                                 amsgrad=True)
    loss_of = nn.CrossEntropyLoss()

    def train():
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(net(scaled()), labels)
        loss.backward()
        optimizer.step()
        loss.item()
    return train


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mode", choices=("train", "infer"))
    parser.add_argument("--threads", type=int, default=0, help="0: PyTorch's own choice")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=30, help=f"timed steps, after {WARM_UP} others")
    parser.add_argument("--classes", type=int, default=200)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.manual_seed(1)
    images = torch.randint(256, (arguments.batch_size, 64, 64, 3), dtype=torch.uint8)
    labels = torch.randint(arguments.classes, (arguments.batch_size,))
    step = make_step(arguments.mode, build(arguments.classes), images, labels)
    for _ in range(WARM_UP):
        step()
    begin = time.perf_counter()
    for _ in range(arguments.steps):
        step()
    rate = arguments.steps * arguments.batch_size / (time.perf_counter() - begin)
    print(f"{arguments.mode} images/s {rate:.1f} (torch {torch.__version__}, {torch.get_num_threads()} threads)")


if __name__ == "__main__":
    main()
