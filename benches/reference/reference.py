"""The reference side of the benchmarks: the same prompts through transformers, f32, as many threads.

usage: reference.py MODEL_DIR THREADS        (started by the benchmark; see setup.sh)

One JSON object a line. First, on stdout: {"ready": true, "load_ms": ..., "versions": "..."}. Then for every
{"text": "...", "what": "forward" | "lens"} on stdin one {"ms": ..., "tokens": ..., "top": [id, ...]} on stdout:
  forward   the bare forward pass of the tokenised prompt, logits at the last position only; tokenising not counted
  lens      the same, then the final norm and the unembedding of every layer's last position, softmax and top 10
and for {"what": "eval", "texts": [...], "sets": [[id, ...], ...], "batch": N} one {"ms": ..., "p": [[...], ...]}: the
softmax at every text's last position summed over each set, N texts at a time, sorted by length and padded on the left;
tokenising not counted.
"""
import json, os, sys, time

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

path, threads = sys.argv[1], int(sys.argv[2])
torch.set_num_threads(threads)
torch.set_grad_enabled(False)


def say(value):
    print(json.dumps(value), flush=True)


begin = time.perf_counter()
tokenizer = AutoTokenizer.from_pretrained(path)
model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
say({"ready": True, "load_ms": (time.perf_counter() - begin) * 1e3,
     "versions": f"torch {torch.__version__}, transformers {transformers.__version__}"})


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
    p = model.lm_head(model.model.norm(torch.stack(states))).softmax(-1)
    return p.topk(10).indices[-1]


def evaluate(texts, sets, batch):
    ids = [tokenizer(t).input_ids for t in texts]
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    out = [None] * len(ids)
    begin = time.perf_counter()
    for at in range(0, len(order), batch):
        some = order[at:at + batch]
        width = max(len(ids[i]) for i in some)
        padded = torch.zeros(len(some), width, dtype=torch.long)
        mask = torch.zeros(len(some), width, dtype=torch.long)
        for row, i in enumerate(some):
            padded[row, width - len(ids[i]):] = torch.tensor(ids[i])
            mask[row, width - len(ids[i]):] = 1
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        logits = model(padded, attention_mask=mask, position_ids=positions, use_cache=False, logits_to_keep=1).logits
        p = logits[:, -1].softmax(-1)
        for row, i in enumerate(some):
            out[i] = [p[row, s].sum().item() for s in sets]
    return (time.perf_counter() - begin) * 1e3, out


for line in sys.stdin:
    request = json.loads(line)
    if request["what"] == "eval":
        ms, p = evaluate(request["texts"], request["sets"], request["batch"])
        say({"ms": ms, "p": p})
        continue
    ids = tokenizer(request["text"], return_tensors="pt").input_ids
    begin = time.perf_counter()
    out = forward(ids) if request["what"] == "forward" else lens(ids)
    ms = (time.perf_counter() - begin) * 1e3
    top = out.topk(10).indices if request["what"] == "forward" else out
    say({"ms": ms, "tokens": ids.shape[1], "top": top.tolist()})
