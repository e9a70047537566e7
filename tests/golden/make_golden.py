#!/usr/bin/env python3
"""Golden values: one whole training step of two tiny networks, computed by PyTorch in double precision.

Reads darknet_tiny.json and residual.json beside this file and writes darknet_tiny.safetensors and residual.safetensors.
Weights, images and labels are drawn first and rounded to float32, so that both sides start from the same bits.

    input [4,16,16,3]  labels [4] (int32)  loss [1]  logits [4,6]  probabilities [4,6]
    P                  parameter before the step: LAYER.weight (OHWI; dense: [units, inputs]), .bias, .gamma, .beta
    gradient.P         of the mean loss, without L2
    updated.P          after one AMSGrad step (kernels/optimizer/optimizer.h), L2 on every .weight
    LAYER.batch_mean   LAYER.batch_var (population), for each batch_norm

A maximum or a kink that float32 could decide otherwise would make the gradients incomparable, so seeds are tried until
none is near. Needs Python 3 and torch (Debian: python3-torch):  python3 tests/golden/make_golden.py
"""
import json
import math
import os
import struct

import torch
import torch.nn.functional as F

BATCH, RATE, L2, BETA1, BETA2, EPSILON, NORM_EPSILON = 4, 8e-3, 1e-4, 0.9, 0.999, 1e-8, 1e-5
MARGIN = 5e-5  # smallest distance of a normalised value from a kink or from the window's runner-up
FOLDER = os.path.dirname(os.path.abspath(__file__))


def padding_of(layer, h, w):
    """(top, left, bottom, right); `same` puts the odd pixel at the bottom and right."""
    if layer.get("padding", "valid") == "valid":
        return 0, 0, 0, 0
    if layer["padding"] != "same":
        return tuple(layer["padding"])
    pads = []
    for size, kernel, stride in zip((h, w), layer["kernel"], layer["stride"]):
        total = max(0, (math.ceil(size / stride) - 1) * stride + kernel - size)
        pads.append((total // 2, total - total // 2))
    return pads[0][0], pads[1][0], pads[0][1], pads[1][1]


class Network:
    """Interprets the model's JSON in NCHW doubles; parameters are made when a layer first meets its input."""

    def __init__(self, model, generator):
        self.model, self.generator = model, generator
        self.parameters, self.statistics, self.margin = {}, {}, math.inf

    def draw(self, name, shape, scale, shift=0.0):
        if name not in self.parameters:
            drawn = torch.randn(shape, generator=self.generator, dtype=torch.float64) * scale + shift
            self.parameters[name] = drawn.to(torch.float32).to(torch.float64).requires_grad_()
        return self.parameters[name]

    def conv2d(self, layer, x):
        top, left, bottom, right = padding_of(layer, x.shape[2], x.shape[3])
        kh, kw = layer["kernel"]
        weight = self.draw(layer["name"] + ".weight", (layer["filters"], x.shape[1], kh, kw),
                           math.sqrt(2 / (x.shape[1] * kh * kw)))
        bias = self.draw(layer["name"] + ".bias", (layer["filters"],), 0.1) if layer.get("bias") else None
        return F.conv2d(F.pad(x, (left, right, top, bottom)), weight, bias, tuple(layer["stride"]))

    def batch_norm(self, layer, x):
        name = layer["name"]
        gamma = self.draw(name + ".gamma", (x.shape[1],), 0.2, 1.0)
        beta = self.draw(name + ".beta", (x.shape[1],), 0.2)
        mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
        self.statistics[name + ".batch_mean"], self.statistics[name + ".batch_var"] = mean, var
        xhat = (x - mean[:, None, None]) / torch.sqrt(var + NORM_EPSILON)[:, None, None]
        return gamma[:, None, None] * xhat + beta[:, None, None]

    def leaky_relu(self, layer, x):
        self.margin = min(self.margin, float(x.detach().abs().min()))
        return F.leaky_relu(x, layer.get("slope", 0.0))

    relu = leaky_relu

    def max_pool(self, layer, x):
        kernel, stride = tuple(layer["kernel"]), tuple(layer["stride"])
        assert padding_of(layer, x.shape[2], x.shape[3]) == (0, 0, 0, 0), "the tiny networks pool even sizes"
        windows = F.unfold(x.detach().flatten(0, 1)[:, None], kernel, stride=stride).sort(1).values
        self.margin = min(self.margin, float((windows[:, -1] - windows[:, -2]).min()))
        return F.max_pool2d(x, kernel, stride)

    def average_pool(self, layer, x):
        assert layer["global"]
        return x.mean((2, 3), keepdim=True)

    def dense(self, layer, x):
        x = x.permute(0, 2, 3, 1).flatten(1)
        weight = self.draw(layer["name"] + ".weight", (layer["units"], x.shape[1]), math.sqrt(2 / x.shape[1]))
        return (x @ weight.T + self.draw(layer["name"] + ".bias", (layer["units"],), 0.1))[:, :, None, None]

    def add(self, layer, a, b):
        return a + b

    def forward(self, images):
        """The logits: everything before softmax_nll."""
        outputs, previous = {"input": images}, "input"
        for layer in self.model["layers"]:
            if layer["type"] == "softmax_nll":
                break
            inputs = [outputs[name] for name in layer.get("inputs", [previous])]
            previous = layer["name"]
            outputs[previous] = getattr(self, layer["type"])(layer, *inputs)
        return outputs[previous].flatten(1)


def amsgrad_first_step(name, w, g):
    """kernels/optimizer/optimizer.h with k = 0 and zero state."""
    if name.endswith(".weight"):
        g = g + L2 * w
    m, h = (1 - BETA1) * g, (1 - BETA2) * g * g
    a = RATE * math.sqrt(1 - BETA2) / (1 - BETA1)
    return w - a * m / (torch.sqrt(h) + EPSILON)


def one_step(model, seed):
    """The tensors of the file by name, and the margin."""
    generator = torch.Generator().manual_seed(seed)
    size = model["input"]
    images = torch.rand((BATCH, size["channels"], size["height"], size["width"]), generator=generator)
    network = Network(model, generator)
    logits = network.forward(images.to(torch.float64))
    labels = torch.randint(logits.shape[1], (BATCH,), generator=generator)
    loss = F.cross_entropy(logits, labels)
    loss.backward()
    tensors = {"input": images, "labels": labels.to(torch.int32), "loss": loss.reshape(1), "logits": logits,
               "probabilities": logits.softmax(1), **network.statistics}
    for name, w in network.parameters.items():
        tensors[name], tensors["gradient." + name] = w, w.grad
        tensors["updated." + name] = amsgrad_first_step(name, w.detach(), w.grad)
    return tensors, network.margin


def write_safetensors(path, tensors, metadata):
    header, blobs, at = {"__metadata__": metadata}, [], 0
    for name, tensor in tensors.items():
        tensor = tensor.detach()
        if tensor.dim() == 4:  # NCHW to NHWC, OIHW to OHWI
            tensor = tensor.permute(0, 2, 3, 1)
        integer = tensor.dtype == torch.int32
        values = tensor.flatten().tolist()
        blobs.append(struct.pack(f"<{len(values)}{'i' if integer else 'f'}", *values))
        header[name] = {"dtype": "I32" if integer else "F32", "shape": list(tensor.shape),
                        "data_offsets": [at, at + len(blobs[-1])]}
        at += len(blobs[-1])
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def make(stem):
    with open(os.path.join(FOLDER, stem + ".json")) as file:
        model = json.load(file)
    for seed in range(1, 10000):
        tensors, margin = one_step(model, seed)
        if margin >= MARGIN:
            break
    else:
        raise SystemExit(f"{stem}: no seed keeps the margin {MARGIN}")
    settings = {"learning_rate": RATE, "l2": L2, "beta1": BETA1, "beta2": BETA2, "epsilon": EPSILON,
                "batch_norm_epsilon": NORM_EPSILON, "seed": seed, "torch": torch.__version__}
    path = os.path.join(FOLDER, stem + ".safetensors")
    write_safetensors(path, tensors, {key: str(value) for key, value in settings.items()})
    smallest = min(float(t.abs().min()) for name, t in tensors.items() if name.startswith("gradient."))
    print(f"{stem}: seed {seed}, margin {margin:.1e}, loss {float(tensors['loss']):.6f}, {len(tensors)} tensors, "
          f"{os.path.getsize(path)} bytes, smallest gradient {smallest:.1e}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for stem in ("darknet_tiny", "residual"):
        make(stem)
