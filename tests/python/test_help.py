"""What help() says of a class: in its own names, and with ranges of what is given."""
import unittest

from eden import _rules

PEERS = {s.name: s.document(("params", "weights"), []) for s in _rules.spellings(with_peers=True)}
OWN = {s.name: s.document(("weights", "arrays"), []) for s in _rules.spellings(with_peers=False)}


def words(text):
    return " ".join(text.split())


class Help(unittest.TestCase):
    def test_the_range_of_an_opposite_is_turned(self):
        said = words(PEERS["Adafactor"])
        self.assertIn("beta2_decay: memory grows as 1 - t^-decay_rate (at least -1, below 0). Default: -0.8", said)
        self.assertIn("decay_rate: memory grows as 1 - t^-decay_rate (above 0, at most 1). Default: 0.8",
                      words(OWN["Adafactor"]))

    def test_an_open_end_is_turned_as_well(self):
        hyper = _rules.Spelling(next(r for r in _rules.RULES if r.name == "sgd")).rule.hyper("weight_decay")
        self.assertEqual((hyper.low, hyper.high), (0, float("inf")))
        self.assertEqual(_rules.Argument("opposite", [hyper], -1).range(hyper), "finite and at most 0")

    def test_names_of_the_formula_that_the_class_has_not(self):
        formula, _, arguments = PEERS["Adafactor"].partition("Args:")
        self.assertTrue(words(formula).endswith("(decay_rate is -beta2_decay, eps1 and eps2 are eps, clip is d)"))
        self.assertIn("\n    (initial is initial_accumulator_value)\n", PEERS["Adagrad"])
        self.assertIn("\n    (beta1 and beta2 are betas)\n", OWN["Adam"])
        for same in (PEERS["SGD"], OWN["Adafactor"], OWN["RMSprop"]):
            self.assertNotRegex(same.partition("Args:")[0], r"\n    \(")

    def test_conditions_of_state_are_of_settings_and_in_words(self):
        state = PEERS["Adafactor"].partition("State:")[2]
        self.assertIn("variance: running mean of g^2\n    m: running mean of updates (if beta1 is not 0)\n", state)
        self.assertIn("largest mean square so far (with amsgrad)", PEERS["Adam"])
        self.assertIn("largest mean square so far (if amsgrad is not 'off')", OWN["Adam"])
        self.assertIn("running mean of the gradient (with centered)", OWN["RMSprop"])
        for text in (*PEERS.values(), *OWN.values()):
            self.assertNotRegex(text.partition("State:")[2], r"!|FACTORED|h\.")


if __name__ == "__main__":
    unittest.main()
