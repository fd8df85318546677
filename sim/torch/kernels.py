# Operators that only CUDA has, in terms of those that the CPU has; behind compute.py, in the same dictionary. Each gets
# its laid arguments and results and fills the results.


def kernel(*names):
    def add(function):
        for name in names:
            kernels[name] = function
        return function

    return add


@kernel("native_dropout")
def native_dropout(p, a, results, seed):
    x, probability, train = a[:3]
    if train is False or probability == 0:
        results[0].copy_(x)
        results[1].fill_(True)
        return
    results[1].bernoulli_(1 - probability, generator=generator_at(seed))
    results[0].copy_(x * results[1] * (0.0 if probability == 1 else 1 / (1 - probability)))


@kernel("_fused_dropout")
def fused_dropout(p, a, results, seed):
    x, keep = a[:2]
    results[1].bernoulli_(keep, generator=generator_at(seed))
    results[0].copy_(x * results[1] * (1 / keep))


@kernel("_conv_depthwise2d", "conv_depthwise3d")
def conv_depthwise(p, a, results, seed):
    x, weight, _, bias, stride, padding, dilation = a[:7]
    results[0].copy_(torch.convolution(x, weight, bias, stride, padding, dilation, False, [0] * len(stride), x.size(1)))


# ---- attention; the softmax's sums are kept in the layout of the CUDA kernels, the seed of dropout in theirs


def attention_weights(q, k, bias, causal, scale):
    """Scores in single precision, before and after the softmax."""
    scale = q.size(-1) ** -0.5 if scale is None else scale
    scores = torch.matmul(q.float() * scale, k.float().transpose(-2, -1))
    if bias is not None:
        scores = scores + bias.float()
    if causal:
        above = torch.ones(scores.shape[-2:], dtype=torch.bool, device=CPU).triu_(1)
        scores = scores.masked_fill(above, float("-inf"))
    return scores


def grouped(x, heads):
    """Key or value heads that several query heads share, once for each."""
    return x if x.size(1) == heads else x.repeat_interleave(heads // x.size(1), 1)


def word_of(seed):
    """The first eight bytes of what a kernel keeps of its seed, a number or a state."""
    return seed.reshape(-1).view(torch.uint8)[:8].view(torch.int64)


def drop_mask(shape, probability, seed):
    keep = torch.empty(shape, dtype=torch.float32, device=CPU)
    return keep.bernoulli_(1 - probability, generator=generator_at(seed)).div_(1 - probability)


def attend(q, k, v, bias, causal, scale, dropout, seed, out, sums, seed_result):
    k, v = grouped(k, q.size(1)), grouped(v, q.size(1))
    scores = attention_weights(q, k, bias, causal, scale)
    weights = torch.softmax(scores, -1)
    weights = torch.nan_to_num_(weights, 0.0)  # rows where everything is masked
    if dropout:
        weights = weights * drop_mask(weights.shape, dropout, seed)
        if isinstance(seed_result, torch.Tensor):
            word_of(seed_result).fill_(seed)
    out.copy_(torch.matmul(weights, v.float()))
    if isinstance(sums, torch.Tensor) and sums.numel():
        sums[..., : scores.size(-2)].copy_(torch.logsumexp(scores, -1))


def attend_backward(grad, q, k, v, bias, causal, scale, dropout, seed, results):
    heads, shared = q.size(1), k.size(1)
    factor = q.size(-1) ** -0.5 if scale is None else scale
    wide_k, wide_v = grouped(k, heads).float(), grouped(v, heads).float()
    weights = torch.nan_to_num_(torch.softmax(attention_weights(q, wide_k, bias, causal, scale), -1), 0.0)
    mask = drop_mask(weights.shape, dropout, seed) if dropout else 1.0
    grad = grad.float()
    to_weights = torch.matmul(grad, wide_v.transpose(-2, -1)) * mask
    to_scores = weights * (to_weights - (to_weights * weights).sum(-1, keepdim=True))

    def back(x, size):
        return x if heads == shared else x.reshape(x.size(0), shared, heads // shared, *x.shape[2:]).sum(2)

    found = [torch.matmul(to_scores, wide_k) * factor,
             back(torch.matmul(to_scores.transpose(-2, -1), q.float()) * factor, k),
             back(torch.matmul((weights * mask).transpose(-2, -1), grad), v)]
    if bias is not None:
        to_bias = to_scores
        for i in range(to_bias.dim()):
            if bias.size(i) == 1 and to_bias.size(i) != 1:
                to_bias = to_bias.sum(i, keepdim=True)
        found.append(to_bias)
    for result, value in zip(results, found):
        if isinstance(result, torch.Tensor) and result.size() == value.size():
            result.copy_(value)


def kept_seed(x):
    return int(word_of(x)) if isinstance(x, torch.Tensor) else 0


@kernel("_scaled_dot_product_efficient_attention")
def efficient(p, a, results, seed):
    q, k, v, bias, _, dropout, causal, scale = a[:8]
    attend(q, k, v, bias, causal, scale, dropout, seed, results[0], results[1], results[2])


@kernel("_scaled_dot_product_efficient_attention_backward")
def efficient_backward(p, a, results, seed):
    grad, q, k, v, bias, _, _, kept, _, dropout, _, causal, scale = a[:13]
    attend_backward(grad, q, k, v, bias, causal, scale, dropout, kept_seed(kept) if dropout else 0, results)


@kernel("_scaled_dot_product_flash_attention")
def flash(p, a, results, seed):
    q, k, v, dropout, causal, _, scale = a[:7]
    attend(q, k, v, None, causal, scale, dropout, seed, results[0], results[1], results[6])


@kernel("_scaled_dot_product_flash_attention_backward")
def flash_backward(p, a, results, seed):
    grad, q, k, v, _, _, _, _, _, _, dropout, causal, kept, _, scale = a[:15]
    attend_backward(grad, q, k, v, None, causal, scale, dropout, kept_seed(kept) if dropout else 0, results)


# ---- recurrent cells; what they keep for the backward pass is their own business


def sum_of(*terms):
    return sum(t for t in terms if t is not None)


@kernel("_thnn_fused_lstm_cell")
def lstm_cell(p, a, results, seed):
    from_input, from_hidden, cell, bias_input, bias_hidden = a[:5]
    i, f, g, o = sum_of(from_input, from_hidden, bias_input, bias_hidden).chunk(4, 1)
    i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
    results[1].copy_(f * cell + i * g)
    results[0].copy_(o * results[1].tanh())
    results[2].copy_(torch.cat((i, f, g, o), 1))


@kernel("_thnn_fused_lstm_cell_backward_impl")
def lstm_cell_backward(p, a, results, seed):
    to_hidden, to_cell, before, after, kept, _ = a[:6]
    i, f, g, o = kept.chunk(4, 1)
    squashed = after.tanh()
    to_hidden = torch.zeros_like(after) if to_hidden is None else to_hidden
    to_cell = to_hidden * o * (1 - squashed * squashed) + (0 if to_cell is None else to_cell)
    gates = torch.cat((to_cell * g * i * (1 - i), to_cell * before * f * (1 - f), to_cell * i * (1 - g * g),
                       to_hidden * squashed * o * (1 - o)), 1)
    results[0].copy_(gates)
    results[1].copy_(to_cell * f)
    if isinstance(results[2], torch.Tensor) and results[2].numel():
        results[2].copy_(gates.sum(0))


@kernel("_thnn_fused_gru_cell")
def gru_cell(p, a, results, seed):
    from_input, from_hidden, hidden, bias_input, bias_hidden = a[:5]
    r, z, n = sum_of(from_input, bias_input).chunk(3, 1)
    hr, hz, hn = sum_of(from_hidden, bias_hidden).chunk(3, 1)
    r, z = (r + hr).sigmoid(), (z + hz).sigmoid()
    n = (n + r * hn).tanh()
    results[0].copy_(n + z * (hidden - n))
    results[1].copy_(torch.cat((r, z, n, hidden, hn), 1))


@kernel("_thnn_fused_gru_cell_backward")
def gru_cell_backward(p, a, results, seed):
    grad, kept, _ = a[:3]
    r, z, n, hidden, hn = kept.chunk(5, 1)
    to_z = grad * (hidden - n) * z * (1 - z)
    to_n = grad * (1 - z) * (1 - n * n)
    to_r = to_n * hn * r * (1 - r)
    gates = (torch.cat((to_r, to_z, to_n), 1), torch.cat((to_r, to_z, to_n * r), 1))
    values = (*gates, grad * z, gates[0].sum(0), gates[1].sum(0))
    for result, value in zip(results, values):
        if isinstance(result, torch.Tensor) and result.numel():
            result.copy_(value)
