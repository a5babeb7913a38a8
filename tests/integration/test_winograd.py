"""Convolutions by Winograd's filtering: right for every size, and put in place of those that suit it
alone. What is faster is not asked here, since that would be another answer on every machine.
"""

import contextlib
import io
import itertools
import sys
import unittest
import unittest.mock

import harness
from harness import has_torch, source_path

sys.path.insert(0, source_path("client/python"))

if has_torch():
    import torch
    from tandem_export import winograd


def difference(expected, got):
    """The largest one, as part of the largest number expected."""
    return ((expected - got).abs().max() / expected.abs().max()).item()


@unittest.skipUnless(has_torch(), "Python's torch is not installed")
class WinogradTest(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(1)
        self.enterContext(torch.no_grad())

    def test_it_gives_what_a_convolution_does(self):
        weight, bias = torch.rand(5, 3, 3, 3) - 0.5, torch.rand(5)
        for tile, batch, (height, width), padding, biased in itertools.product(
            (2, 4), (1, 3), ((3, 3), (4, 9), (14, 14)), ((0, 0), (1, 1), (2, 1)), (True, False)
        ):
            with self.subTest(
                tile=tile, batch=batch, size=(height, width), padding=padding, biased=biased
            ):
                arguments = (weight, bias if biased else None, padding)
                x = torch.rand(batch, 3, height, width)
                expected = winograd.Convolution(*arguments)(x)
                for one_by_one in (False, True):
                    got = winograd.WinogradConvolution(*arguments, tile, one_by_one)(x)
                    self.assertEqual(got.shape, expected.shape)
                    self.assertLess(difference(expected, got), 1e-5)

    def test_it_loses_little_in_bfloat16(self):
        weight, x = torch.rand(32, 32, 3, 3) - 0.5, torch.rand(2, 32, 14, 14) - 0.5
        expected = winograd.Convolution(weight, None, (1, 1))(x)
        for tile in winograd.TILES[torch.bfloat16]:
            layer = winograd.WinogradConvolution(weight.bfloat16(), None, (1, 1), tile)
            self.assertLess(difference(expected, layer(x.bfloat16()).float()), 2e-2)

    def changed(self, model, *inputs, shapes=None, taken=(4, False)):
        """The model with convolutions in that way in it, how many, and what was printed."""
        out = io.StringIO()
        with (
            unittest.mock.patch.object(winograd, "fastest", return_value=(taken, "measured")) as asked,
            contextlib.redirect_stdout(out),
        ):
            program = torch.export.export(model.eval(), inputs, dynamic_shapes=shapes)
            changed = winograd.with_winograd(program, 8)
        layers = [m for m in changed.modules() if isinstance(m, winograd.WinogradConvolution)]
        again = torch.export.export(changed, inputs, dynamic_shapes=shapes).module()
        return again, len(layers), out.getvalue(), asked

    def test_those_that_suit_it_are_changed_and_asked_for_once(self):
        layers = [torch.nn.Conv2d(16, 16, 3, padding=1, bias=bias) for bias in (True, True, False)]
        model = torch.nn.Sequential(*layers, torch.nn.BatchNorm2d(16), torch.nn.ReLU())
        x = torch.rand(2, 16, 8, 8)
        changed, count, out, asked = self.changed(model, x)
        self.assertEqual((count, out), (3, "measured\nmeasured\n"))
        self.assertEqual([call.args[3:] for call in asked.mock_calls], [((2, 16, 8, 8), True)] * 2)
        self.assertLess(difference(model(x), changed(x)), 1e-5)
        changed, count, _, _ = self.changed(model, x, taken=(2, True))
        self.assertEqual(count, 3)
        self.assertLess(difference(model(x), changed(x)), 1e-5)

    def test_all_others_stay_as_they_are(self):
        for name, layer in {
            "a stride": torch.nn.Conv2d(16, 16, 3, stride=2),
            "a dilation": torch.nn.Conv2d(16, 16, 3, dilation=2),
            "groups": torch.nn.Conv2d(16, 16, 3, groups=2),
            "another size": torch.nn.Conv2d(16, 16, 5),
            "sides that differ": torch.nn.Conv2d(16, 16, (3, 1)),
            "few channels": torch.nn.Conv2d(16, 3, 3),
            "doubles": torch.nn.Conv2d(16, 16, 3, dtype=torch.float64),
        }.items():
            with self.subTest(name):
                x = torch.rand(1, 16, 8, 8, dtype=layer.weight.dtype)
                _, count, out, _ = self.changed(layer, x)
                self.assertEqual(count, 0)
                self.assertIn("no convolution that --winograd could change", out)

    def test_filters_that_are_computed_stay_as_they_are(self):
        class Computed(torch.nn.Module):
            def forward(self, x, weight):
                return torch.nn.functional.conv2d(x, weight * 2)

        _, count, _, _ = self.changed(Computed(), torch.rand(1, 16, 8, 8), torch.rand(16, 16, 3, 3))
        self.assertEqual(count, 0)

    def test_what_is_slower_that_way_stays_as_it_is(self):
        model = torch.nn.Conv2d(16, 16, 3)
        _, count, out, _ = self.changed(model, torch.rand(1, 16, 8, 8), taken=None)
        self.assertEqual((count, out), (0, "measured\n"))

    def test_a_package_for_any_batch_size_can_be_made_of_it(self):
        model = torch.nn.Conv2d(16, 16, 3, padding=1)
        shapes = ({0: torch.export.Dim("batch", min=1, max=8)},)
        changed, count, _, asked = self.changed(model, torch.rand(2, 16, 7, 9), shapes=shapes)
        self.assertEqual(count, 1)
        # Not one by one, of a number that is not known.
        self.assertEqual(asked.mock_calls[0].args[3:], ((8, 16, 7, 9), False))
        for batch in (1, 5, 8):
            x = torch.rand(batch, 16, 7, 9)
            self.assertLess(difference(model(x), changed(x)), 1e-5)


if __name__ == "__main__":
    harness.main()
