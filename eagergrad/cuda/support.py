"""Where each op of the core computes when its tensors are on a GPU: ``python -m eagergrad.cuda.support`` prints the table
that docs/gpu.md holds.

The ops of the elementwise table speak for themselves; all others are named here, once, and a test fails for one that is not.
"""

from __future__ import annotations

import re

import eagergrad as eg
from eagergrad import _C

# One line of names for each kind of op; what is after a colon says what goes through the host.
KERNEL = """
    arange linspace logspace range empty empty_like empty_strided eye full full_like ones ones_like zeros zeros_like
    _cast _to_device _write_out clone contiguous copy_ fill_ zero_ scaled_dot_product_attention convolution
    conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d embedding embedding_bag
    index_add index_copy index_fill index_put index_select index_reduce gather scatter scatter_add scatter_reduce
    take_along_dim one_hot masked_fill masked_scatter put take cat concat concatenate stack hstack vstack dstack
    row_stack column_stack softmax log_softmax cross_entropy nll_loss addbmm addmm addmv addr baddbmm bmm dot ger inner
    linear matmul mm mv outer vdot batch_norm group_norm layer_norm rms_norm _clamp_all_ _global_norm _limit_norm_
    _scale_all_ clamp clamp_max clamp_min clip adaptive_avg_pool adaptive_max_pool adaptive_max_pool1d
    max_pool1d max_pool1d_with_indices max_pool2d max_pool2d_with_indices max_pool3d max_pool3d_with_indices
    avg_pool1d avg_pool2d avg_pool3d col2im im2col bernoulli cauchy_ dropout exponential_ feature_dropout geometric_
    log_normal_ normal rand rand_like randint randint_like randn randn_like random_ uniform_ all amax amin
    aminmax any argmax argmin count_nonzero logsumexp max mean min nanmean nansum prod sum std std_mean var var_mean
    _vector_norm _rnn_layer gru_cell lstm_cell rnn_relu_cell rnn_tanh_cell cummax cummin cumprod cumsum logcumsumexp
    tril triu argsort bucketize kthvalue msort searchsorted sort topk constant_pad_nd grid_sampler upsample
    repeat tile roll flip fliplr flipud rot90 multinomial randperm poisson max_unpool
    alias_copy as_strided_copy detach_copy diagonal_copy expand_copy fill_diagonal_ narrow_copy permute_copy select_copy
    _segment_softmax _segment_sum _sparse_compress _sparse_expand _sparse_mm _sparse_sampled _sparse_transpose
    slice_copy split_with_sizes_copy squeeze_copy t_copy transpose_copy unbind_copy unsqueeze_copy view_copy
"""
COMPOSITION = """
    binary_cross_entropy binary_cross_entropy_with_logits huber_loss kl_div l1_loss mse_loss smooth_l1_loss
    _polygamma _where_method float_power isreal ldexp positive real rsub diff block_diag cartesian_prod meshgrid
    combinations diag diag_embed diagflat as_strided_scatter diagonal_scatter select_scatter slice_scatter
    isin unravel_index sum_to_size pad_mode tril_indices triu_indices
"""
VIEW = """
    atleast_1d atleast_2d atleast_3d broadcast_tensors chunk dsplit hsplit split split_with_sizes tensor_split unbind
    unsafe_chunk unsafe_split unsafe_split_with_sizes vsplit flatten ravel unflatten as_strided adjoint broadcast_to
    diagonal expand expand_as moveaxis movedim narrow permute reshape reshape_as select squeeze swapaxes swapdims t
    transpose unfold unsqueeze view view_as _is_row_sparse _row_parts _row_sparse_take_
"""
READS = {
    "nonzero argwhere masked_select nonzero_static": "how many there are",
    "unique unique_consecutive": "how many there are",
    "bincount": "the largest number",
    "histc histogram": "the range, where none is given",
    "repeat_interleave": "how many there are, where `output_size` does not say it",
    "ctc_loss": "targets and lengths",
    "_grouped_mm": "the ends of the groups",
    "_row_sparse _row_sparse_add _sparse_matmul _sparse_merge _sparse_mm_row_grad _sparse_take_rows": "how many entries there are",
    "_sparse_check": "the first fault",
}
# Other names of ops of the elementwise table.
ALIASES = """
    absolute arccos arccosh arcsin arcsinh arctan arctan2 arctanh bessel_y0 bessel_y1 divide fix greater greater_equal less
    less_equal multiply negative not_equal sgn subtract true_divide
"""


def base_names() -> set[str]:
    """The ops of the core, without the in-place forms of others."""
    names = set(_C.op_table)
    return {n for n in names if not (n.endswith("_") and n[:-1] in names)}


def table_names() -> set[str]:
    """The ops that have a line in the elementwise table, and the other names of these."""
    found = set(ALIASES.split())
    for dtype in (eg.float32, eg.int64, eg.bool):
        for expression in _C.cuda_table_kernels(dtype):
            match = re.match(r"eg::flat<eg::(\w+?)_(?:y|g\d),", expression)
            if match:
                found.add(match[1])
    return found & base_names()


def written() -> dict[str, set[str]]:
    """The ops that are named in this file, by kind."""
    return {
        "kernel": set(KERNEL.split()),
        "composition": set(COMPOSITION.split()),
        "view": set(VIEW.split()),
        "reads": {n for names in READS for n in names.split()},
    }


def markdown() -> str:
    """The table of docs/gpu.md."""
    kinds = written()

    def listed(names: set[str]) -> str:
        return ", ".join(f"`{n}`" for n in sorted(names))

    def noted(notes: dict[str, str]) -> str:
        return "; ".join(f"{listed(set(names.split()))} ({why})" for names, why in notes.items())

    rows = [
        ("a kernel from the elementwise table, any dtype and stride", listed(table_names())),
        ("kernels of their own, or cuBLAS and cuDNN", listed(kinds["kernel"])),
        ("a composition of ops on the GPU", listed(kinds["composition"])),
        ("nothing is computed: a view", listed(kinds["view"])),
        ("on the GPU, but the host waits for a few numbers", noted(READS)),
    ]
    lines = ["| where | ops |", "|---|---|", *[f"| {where} | {ops} |" for where, ops in rows]]
    return "\n".join(lines)


if __name__ == "__main__":
    print(markdown())
