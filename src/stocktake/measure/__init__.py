"""Measure: log-probabilities and true counts in; numbers with intervals and honest answers out.

`metrics`, `decoding` and `baselines` say what is measured, `bootstrap` how sure it is, `scorecard`
puts it on one card. `calibration` and `conformal` are fitted on a fold of their own and travel with
the model. NumPy only, so a server needs nothing more; may use `schema` and `errors`.

Shapes: log_probs float (N, K), each row the log of a distribution over counts 0..K-1; counts int
(N,), true counts, which may lie above K-1.
"""
