"""The smallest complete model: each block is coded by its mean, quantised by a step.

Read ``config`` first, then ``coding`` (what the model computes), ``encoded`` (the encoded volume),
``transform_coder`` (one chunk to bytes and back), ``training``, and ``model``, which puts them behind the
interface that all models share. One line makes it known:
``register(ModelKind(BlockMeanConfig, BlockMeanModel, BlockMeanTraining))``. ``batching`` is for tests of
batches alone.
"""
