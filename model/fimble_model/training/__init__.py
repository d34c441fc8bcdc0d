"""The workshop: from a list of packages to a model folder. Nothing else imports it.

    sources  ->  corpus  ->  cleaning  ->  tokenizer  ->  samples  ->  pretraining  ->  export

`stages` ties them together by files, `cli` is `fimble-train`.
"""
