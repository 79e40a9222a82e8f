"""The whole network: sizes and counts of the paper, heads, loss, and the plain writing of the same."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from m3fusion_sk import M3FusionClassifier, paper_settings
from m3fusion_sk.network.build import empty_network
from m3fusion_sk.network.loss import FusionLoss
from m3fusion_sk.network.patch import ConvBlock, Dihedral, PatchEncoder, resolve_stem
from m3fusion_sk.sources import PatchSpec, SeriesSpec, VectorSpec

PAPER_SOURCES = {"ts": SeriesSpec(34, 16), "patch": PatchSpec(5, 25, 25)}


def paper_network(sources=PAPER_SOURCES, n_classes=13, **changes):
    return empty_network(M3FusionClassifier(**{**paper_settings(), **changes}), sources, n_classes)


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def inputs_of(sources, n=4, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(n, *s.shape, generator=generator).to(dtype) for name, s in sources.items()}


def test_the_paper_network_has_8_419_879_parameters():
    network = paper_network()
    series, patch = network.encoders
    blocks = (patch.conv1, patch.conv2, patch.conv3, patch.conv4)
    assert sum(count(block[0]) for block in blocks) == 4_127_744
    assert sum(count(block[2]) for block in blocks) == 3_584
    assert count(series.states) == 3_197_952
    assert count(series.attention) == 1_050_624
    assert count(network.fusion_head) + count(network.auxiliary_heads) == 39_975
    assert count(network) == 8_419_879


def test_the_maps_of_a_25_pixel_patch_measure_19_9_7_7_7():
    encoder = paper_network(n_filters=4, hidden_size=4).encoders[1]
    shapes = []
    for part in (encoder.conv1, encoder.pool, encoder.conv2, encoder.conv3, encoder.conv4):
        part.register_forward_hook(lambda module, args, output: shapes.append(tuple(output.shape[1:])))
    encoder(torch.randn(2, 5, 25, 25))
    assert shapes == [(4, 19, 19), (4, 9, 9), (8, 7, 7), (8, 7, 7), (8, 7, 7)]


def test_the_network_equals_the_plain_writing_of_the_paper():
    sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
    from plain import PlainM3Fusion

    network = paper_network(hidden_size=12, n_filters=6).double()
    plain = PlainM3Fusion(16, 5, 13, hidden_size=12, n_filters=6).double()
    series, patch = network.encoders
    recurrence, attention = series.states, series.attention
    pairs = [
        (plain.inputs.weight, recurrence.input_weight),
        (plain.inputs.bias, recurrence.bias),
        (plain.gates.weight, recurrence.gate_weight),
        (plain.candidate.weight, recurrence.candidate_weight),
        (plain.attention.weight, attention.projection.weight),
        (plain.attention.bias, attention.projection.bias),
        (plain.score.weight, attention.score.weight),
        *zip(plain.head_series.parameters(), network.auxiliary_heads[0].parameters(), strict=True),
        *zip(plain.head_patch.parameters(), network.auxiliary_heads[1].parameters(), strict=True),
        *zip(plain.head_fusion.parameters(), network.fusion_head.parameters(), strict=True),
    ]
    for i, block in enumerate((patch.conv1, patch.conv2, patch.conv3, patch.conv4), start=1):
        pairs += zip(getattr(plain, f"conv{i}").parameters(), block[0].parameters(), strict=True)
        pairs += zip(getattr(plain, f"norm{i}").parameters(), block[2].parameters(), strict=True)
    with torch.no_grad():
        for target, source in pairs:
            target.copy_(source.reshape(target.shape))
    x = inputs_of(PAPER_SOURCES, dtype=torch.float64)
    for mode in (True, False):  # batch statistics, running statistics
        fused, auxiliary = (
            network.train(mode).requires_grad_(False)(x) if not mode else eval_dropout(network)(x)
        )
        expected = plain.train(mode)(x["ts"], x["patch"])
        for got, want in zip((fused, auxiliary["ts"], auxiliary["patch"]), expected, strict=True):
            torch.testing.assert_close(got, want, rtol=0, atol=1e-10)


def eval_dropout(network):
    network.train()
    network.dropout.eval()
    return network


@pytest.mark.parametrize(
    "sources",
    [
        {"only": SeriesSpec(3, 2)},
        {"only": PatchSpec(1, 5, 7)},
        {"only": VectorSpec(4)},
    ],
)
def test_a_single_source_has_one_head(sources):
    network = paper_network(sources, n_classes=3, hidden_size=4, n_filters=2, stem="auto")
    fused, auxiliary = network(inputs_of(sources))
    assert fused.shape == (4, 3)
    assert auxiliary == {}
    assert len(network.auxiliary_heads) == 0


def test_any_number_of_sources_of_any_kind_and_name():
    sources = {
        "s2 10 m": SeriesSpec(5, 4),
        "s1.vv": SeriesSpec(7, 2),
        "keys": PatchSpec(3, 9, 9),
        "items": VectorSpec(6),
        "forward": VectorSpec(1),
    }
    network = paper_network(sources, n_classes=3, hidden_size=4, n_filters=2, stem="auto")
    fused, auxiliary = network(inputs_of(sources))
    assert fused.shape == (4, 3)
    assert list(auxiliary) == list(sources)
    assert list(network.attention(inputs_of(sources))) == ["s2 10 m", "s1.vv"]
    assert network.fusion_head.in_features == 4 + 4 + 4 + 64 + 64


@pytest.mark.parametrize(
    "alpha", [{"ts": 0.3, "patch": 0.3}, {"ts": 0.5, "patch": 0.1}, {"ts": 0.0, "patch": 2.0}]
)
def test_alpha_weighs_the_auxiliary_losses_beside_the_fusion_loss(alpha):
    rng = np.random.default_rng(0)
    logits = {name: rng.normal(size=(6, 3)) for name in ("fused", "ts", "patch")}
    codes, weights = rng.integers(0, 3, 6), rng.uniform(0.5, 2, 6)

    def cross_entropy(z):
        log_proba = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
        return -(weights * log_proba[np.arange(6), codes]).mean()  # weights are 1 on average over all batches

    expected = cross_entropy(logits["fused"]) + sum(alpha[n] * cross_entropy(logits[n]) for n in alpha)
    tensors = {name: torch.from_numpy(z) for name, z in logits.items()}
    outputs = tensors["fused"], {name: tensors[name] for name in alpha}
    got = FusionLoss(alpha)(outputs, (torch.from_numpy(codes), torch.from_numpy(weights)))
    assert got.item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("layout", ["channels last", "contiguous", "expanded"])
def test_a_block_learns_from_gradients_of_any_layout_as_its_parts_do(layout):
    torch.manual_seed(0)
    block = ConvBlock(2, 3, 3).double()
    x, g = (torch.randn(4, c, s, s, dtype=torch.float64) for c, s in ((2, 6), (3, 4)))
    formats = {"channels last": torch.channels_last, "contiguous": torch.contiguous_format}
    g = g.contiguous(memory_format=formats[layout]) if layout in formats else g[:, :, :1, :1].expand_as(g)
    seen = []
    block[2].register_full_backward_pre_hook(lambda module, grads: seen.append(grads[0]))
    found = torch.autograd.grad(block(x.contiguous(memory_format=torch.channels_last)), block.parameters(), g)
    convolution, _, norm = block
    of_parts = torch.autograd.grad(norm(torch.relu(convolution(x))), block.parameters(), g)
    torch.testing.assert_close(found, of_parts, rtol=1e-12, atol=1e-12)
    assert seen[0].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("side", range(3, 34))
def test_auto_takes_every_side_from_3_pixels_by_one_rule(side):
    assert resolve_stem("auto", side) == ("7x7" if side >= 20 else "3x3")
    encoder = PatchEncoder(PatchSpec(2, side, side), 3, stem="auto")
    maps = []
    encoder.conv4.register_forward_hook(lambda module, args, output: maps.append(output.shape[2]))
    assert encoder(torch.randn(2, 2, side, side)).shape == (2, 6)
    expected = (side - 6) // 2 - 2 if side >= 20 else side // 2 - 2 if side >= 12 else side - 2 * (side >= 5)
    assert maps == [expected]


@pytest.mark.parametrize(("height", "width"), [(3, 30), (25, 12), (14, 4)])
def test_the_shorter_side_decides_about_the_stem(height, width):
    encoder = PatchEncoder(PatchSpec(1, height, width), 2, stem="auto")
    assert encoder(torch.randn(2, 1, height, width)).shape == (2, 4)


def test_augmentation_turns_and_flips_whole_patches_in_training_only():
    torch.manual_seed(0)
    layer, x = Dihedral(3, 3), torch.arange(9.0).reshape(1, 1, 3, 3).repeat(200, 1, 1, 1)
    versions = torch.unique(layer(x).flatten(1), dim=0)
    assert len(versions) == 8  # the dihedral group of the square
    assert (versions.sort(dim=1).values == torch.arange(9.0)).all()
    assert layer.eval()(x) is x
    wide = torch.arange(6.0).reshape(1, 1, 2, 3).repeat(200, 1, 1, 1)
    assert len(torch.unique(Dihedral(2, 3)(wide).flatten(1), dim=0)) == 4


def test_feature_norm_normalises_series_and_patch_features_and_no_vector():
    sources = {"ts": SeriesSpec(3, 2), "patch": PatchSpec(1, 5, 5), "v": VectorSpec(4)}
    network = paper_network(sources, 3, hidden_size=4, n_filters=2, stem="auto", feature_norm=True)
    assert [type(norm).__name__ for norm in network.norms] == ["BatchNorm1d", "BatchNorm1d", "Identity"]
    features = network.train().features(inputs_of(sources, n=64))
    torch.testing.assert_close(features["ts"].mean(dim=0), torch.zeros(4), atol=1e-5, rtol=0)


def test_raw_integers_are_normalised_inside_the_network():
    sources = {"ts": SeriesSpec(3, 2), "patch": PatchSpec(1, 5, 5)}
    network = paper_network(sources, 3, hidden_size=4, n_filters=2, stem="auto").eval()
    raw = {name: (1000 * x.abs()).round().to(torch.int32) for name, x in inputs_of(sources).items()}
    fused = network(raw)[0]
    torch.testing.assert_close(fused, network({name: x.float() for name, x in raw.items()})[0])
