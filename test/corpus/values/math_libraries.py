"""Operators of cuFFT, cuSOLVER and cuSPARSE: a line for each, "ok" where the device gives what the CPU does. With
"shapes" as its argument only shapes are compared, and sizes are larger than what is computed by default."""

import sys
import warnings

import torch

warnings.simplefilter("ignore")
L = torch.linalg
SHAPES = "shapes" in sys.argv
N = 100 if SHAPES else 40


def cases(device):
    generator = torch.Generator().manual_seed(0)

    def numbers(*shape):
        return torch.randn(*shape, generator=generator).to(device)

    eye = torch.eye(N, device=device)
    square, tall, batch = numbers(N, N), numbers(N + 20, N), numbers(3, N, N)
    positive, complex_ = square @ square.T + N * eye, torch.complex(numbers(N, N), numbers(N, N))
    window = torch.hann_window(64, device=device)
    sound = numbers(2, 320000 if SHAPES else 1600)
    spectrum = torch.stft(sound, 64, window=window, return_complex=True)

    def gradient(function, x):
        x = x.detach().requires_grad_()
        function(x).sum().backward()
        return x.grad

    yield "fft", torch.fft.fft(numbers(8, 500)).abs()
    yield "irfft", torch.fft.irfft(torch.fft.rfft(numbers(8, 500)))
    yield "fftn of a large prime", torch.fft.fftn(numbers(2, 8, 131)).abs()
    yield "fft in double precision", torch.fft.rfft(numbers(4, 256).double()).abs()
    yield "stft", spectrum.abs()
    yield "istft", torch.istft(spectrum, 64, window=window)
    yield "gradient of rfft", gradient(lambda x: torch.fft.rfft(x).abs(), numbers(4, 500))
    yield "inv", L.inv(positive)
    yield "inv of several", L.inv(batch @ batch.mT + N * eye)
    yield "cholesky", L.cholesky(positive)
    yield "complex cholesky", L.cholesky(complex_ @ complex_.mH + N * eye).abs()
    yield "cholesky_solve", torch.cholesky_solve(square, L.cholesky(positive))
    yield "cholesky_inverse", torch.cholesky_inverse(L.cholesky(positive))
    u, s, v = L.svd(tall, full_matrices=False)
    yield "svd", u * s @ v
    yield "singular values of several", L.svdvals(batch)
    w, q = L.eigh(positive)
    yield "eigh", q * w @ q.T
    yield "eigenvalues of several", L.eigvalsh(batch + batch.mT)
    yield "eig", L.eigvals(square).abs().sort().values
    q, r = L.qr(tall)
    yield "qr", q @ r
    yield "householder_product", L.householder_product(*torch.geqrf(tall)).abs()
    yield "ormqr", torch.ormqr(*torch.geqrf(square), square).abs()
    yield "solve", L.solve(positive, square)
    yield "lstsq", L.lstsq(tall, tall).solution
    yield "lstsq of several", L.lstsq(batch, batch).solution
    yield "svd_lowrank of several", torch.svd_lowrank(batch * 0 + eye, 3)[1]
    yield "weighted covariance", torch.cov(tall, aweights=tall[0].abs())
    p, lower, upper = L.lu(square)
    yield "lu", p @ lower @ upper
    yield "lu_solve", L.lu_solve(*L.lu_factor(positive), square)
    yield "ldl_solve", L.ldl_solve(*L.ldl_factor(positive), square)
    yield "det", L.det(positive / N)
    yield "slogdet", L.slogdet(positive)[1]
    yield "pinv", L.pinv(tall)
    yield "matrix_rank", L.matrix_rank(square).float()
    yield "gradient of cholesky", gradient(L.cholesky, positive)
    yield "gradient of logdet", gradient(torch.logdet, positive)
    yield "normal distribution", torch.distributions.MultivariateNormal(0 * eye[0], positive).log_prob(square[0])
    yield "orthogonal", torch.nn.init.orthogonal_(torch.empty(N, N, device=device)) @ eye * 0
    a, b = (square > 1.2).float(), (square < -1.2).float()
    for name, matrix in (
        ("product of sparse matrices", a.to_sparse_csr() @ b.to_sparse_csr()),
        ("sum of sparse matrices", a.to_sparse_csr() + b.to_sparse_csr()),
    ):
        yield name, torch.cat([matrix.crow_indices(), matrix.col_indices().sort().values]).float()
    yield "sparse times dense", (a.to_sparse() @ square) * 0
    yield "sparse rows times dense", (a.to_sparse_csr() @ square) * 0


for (name, found), (_, wanted) in zip(cases("cuda"), cases("cpu"), strict=True):
    found = found.detach().cpu()
    same = found.shape == wanted.shape
    if same and not SHAPES:
        same = torch.allclose(found.float(), wanted.float(), rtol=2e-3, atol=2e-3)
    print(name, "ok" if same else f"differs: {found.flatten()[:4].tolist()} not {wanted.flatten()[:4].tolist()}")
