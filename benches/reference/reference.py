"""The reference side of the benchmarks: the same prompts through transformers, as many threads.

usage: reference.py MODEL_DIR THREADS [--dtype float32|bfloat16]        (started by the benchmark; see setup.sh)

One JSON object a line. First, on stdout: {"ready": true, "load_ms": ..., "versions": "..."}. Then one answer for every
request on stdin, each with {"ms": ...}, the time without tokenising:
  {"what": "forward", "text": "..."}   the bare forward pass, logits at the last position only; "top": [id, ...]
  {"what": "lens", "text": "..."}      the same, then the final norm and the unembedding of every layer's last position,
        softmax and top 10; "top" of the output, "layers": [[[id, p], ...], ...]
  {"what": "eval", "texts": [...], "sets": [[[id, ...], ...], ...], "batch": N}   "p": [[...], ...], the softmax at every
        text's last position summed over each of its sets; N texts at a time, sorted by length, padded on the left
  {"what": "pool", "texts": [...], "batch": N}   "states": [text][layer][hidden], the mean over all positions but the
        first (BOS) of every layer's residual stream, the last one normed; batched as above
  {"what": "peak"}                     "bytes": this process's peak resident memory so far
  {"what": "matmul", "m": M, "k": K, "n": N, "repeat": R}   the median time of [M, K] x [N, K]^T in the model's format
"""
import argparse, json, os, statistics, sys, time

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

parser = argparse.ArgumentParser()
parser.add_argument("path")
parser.add_argument("threads", type=int)
parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
asked = parser.parse_args()
dtype = getattr(torch, asked.dtype)
torch.set_num_threads(asked.threads)
torch.set_grad_enabled(False)


def say(value):
    print(json.dumps(value), flush=True)


begin = time.perf_counter()
tokenizer = AutoTokenizer.from_pretrained(asked.path)
model = AutoModelForCausalLM.from_pretrained(asked.path, dtype=dtype).eval()
say({"ready": True, "load_ms": (time.perf_counter() - begin) * 1e3,
     "versions": f"torch {torch.__version__}, transformers {transformers.__version__}"})


def timed(work, *given):
    begin = time.perf_counter()
    out = work(*given)
    return (time.perf_counter() - begin) * 1e3, out


def encode(text):
    return tokenizer(text, return_tensors="pt").input_ids


def forward(ids):
    return model(ids, use_cache=False, logits_to_keep=1).logits[0, -1]


def lens(ids):
    states, hooks = [], []
    keep = lambda x: states.append((x[0] if isinstance(x, tuple) else x)[0, -1])
    first = model.model.layers[0]
    hooks.append(first.register_forward_pre_hook(
        lambda m, args, kwargs: keep(args[0] if args else kwargs["hidden_states"]), with_kwargs=True))
    for layer in model.model.layers:
        hooks.append(layer.register_forward_hook(lambda m, args, out: keep(out)))
    model.model(ids, use_cache=False)
    for hook in hooks:
        hook.remove()
    logits = model.lm_head(model.model.norm(torch.stack(states)))
    return logits.softmax(-1, dtype=torch.float32).topk(10)


def batches(ids, size):
    """Numbers of texts, their tokens padded on the left, mask and positions; sorted by length, `size` at a time."""
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    for at in range(0, len(order), size):
        some = order[at:at + size]
        width = max(len(ids[i]) for i in some)
        padded = torch.zeros(len(some), width, dtype=torch.long)
        mask = torch.zeros(len(some), width, dtype=torch.long)
        for row, i in enumerate(some):
            padded[row, width - len(ids[i]):] = torch.tensor(ids[i])
            mask[row, width - len(ids[i]):] = 1
        yield some, {"input_ids": padded, "attention_mask": mask, "use_cache": False,
                     "position_ids": (mask.cumsum(-1) - 1).clamp(min=0)}


def evaluate(ids, sets, size):
    out = [None] * len(ids)
    for some, batch in batches(ids, size):
        p = model(**batch, logits_to_keep=1).logits[:, -1].softmax(-1, dtype=torch.float32)
        for row, i in enumerate(some):
            out[i] = [p[row, s].sum().item() for s in sets[i]]
    return out


def pool(ids, size):
    out = [None] * len(ids)
    for some, batch in batches(ids, size):
        # BOS, the first of a text's own tokens, is not in the mean.
        counted = (batch["position_ids"] > 0).unsqueeze(-1)
        states = model.model(**batch, output_hidden_states=True).hidden_states
        means = [(s.float() * counted).sum(1) / counted.sum(1) for s in states]
        for row, i in enumerate(some):
            out[i] = [m[row] for m in means]
    return out


def matmul(m, k, n, repeat):
    x, w = torch.randn(m, k).to(dtype), torch.randn(n, k).to(dtype)
    product = lambda: torch.nn.functional.linear(x, w)
    product()
    return statistics.median(timed(product)[0] for _ in range(repeat))


def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def answer(asked):
    what = asked["what"]
    if what == "forward":
        ms, logits = timed(forward, encode(asked["text"]))
        return {"ms": ms, "top": logits.topk(10).indices.tolist()}
    if what == "lens":
        ms, top = timed(lens, encode(asked["text"]))
        layers = [list(map(list, zip(i, p))) for i, p in zip(top.indices.tolist(), top.values.tolist())]
        return {"ms": ms, "top": top.indices[-1].tolist(), "layers": layers}
    if what == "matmul":
        return {"ms": matmul(asked["m"], asked["k"], asked["n"], asked["repeat"])}
    if what == "peak":
        return {"ms": 0, "bytes": peak()}
    ids = [tokenizer(t).input_ids for t in asked["texts"]]
    if what == "eval":
        ms, p = timed(evaluate, ids, asked["sets"], asked["batch"])
        return {"ms": ms, "p": p}
    if what == "pool":
        ms, states = timed(pool, ids, asked["batch"])
        return {"ms": ms, "states": [[layer.tolist() for layer in text] for text in states]}
    raise SystemExit(f"an unknown request: {what!r}")


for line in sys.stdin:
    say(answer(json.loads(line)))
