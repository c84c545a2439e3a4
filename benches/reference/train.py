"""The reference side of `cargo bench --bench train`: LoRA training with transformers and PEFT.

usage: train.py MODEL_DIR THREADS DATA.json ADAPTER_DIR {all|answers} [float32|bfloat16]      (started by the benchmark; see setup.sh)

The last word is the format of the frozen weights and of the arithmetic; PEFT keeps the adapter's own weights in f32.

One epoch over the rows in order, 16 a step as 4 x 4, right-padded, from the adapter's exact weights, with what
transformers' Trainer does: labels of -100 where a position is not in the loss, each pass' summed loss divided by the
whole batch's answer tokens, gradients clipped at norm 1, torch's AdamW, cosine schedule with 10 % warm-up.
  all       the labels are given to the model, as everybody does it: logits of all positions
  answers   the same loss from the logits of the answers' positions only

First {"ready": true, "versions": "..."} on stdout. Then a step for every line on stdin:
{"ms": ..., "loss": ..., "grad_norm": ..., "tokens": ..., "peak": ...}; tokens without padding, peak in bytes.
POLYLENS_REFERENCE_ATTENTION is another attn_implementation than the model's default (sdpa), such as eager.
"""
import json, math, os, sys, time

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
import peft
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer, get_cosine_schedule_with_warmup

path, threads, data, adapter, way = sys.argv[1:6]
dtype = getattr(torch, sys.argv[6] if len(sys.argv) > 6 else "float32")
BATCH, MICRO, CUTOFF, IGNORED = 16, 4, 2048, -100
torch.set_num_threads(int(threads))


def say(value):
    print(json.dumps(value), flush=True)


def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


tokenizer = AutoTokenizer.from_pretrained(path)
base = AutoModelForCausalLM.from_pretrained(
    path, dtype=dtype, attn_implementation=os.environ.get("POLYLENS_REFERENCE_ATTENTION"))
model = peft.PeftModel.from_pretrained(base, adapter, is_trainable=True).train()
trained = [p for p in model.parameters() if p.requires_grad]


def sample(row):
    asked = tokenizer(row["input"]).input_ids
    answer = tokenizer(row["answer"], add_special_tokens=False).input_ids + [tokenizer.eos_token_id]
    assert len(asked) + len(answer) <= CUTOFF, "a row is longer than the cut-off"
    return asked + answer, [IGNORED] * len(asked) + answer


def padded(samples):
    width = max(len(ids) for ids, _ in samples)
    ids = torch.tensor([ids + [0] * (width - len(ids)) for ids, _ in samples])
    labels = torch.tensor([labels + [IGNORED] * (width - len(labels)) for _, labels in samples])
    mask = torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for ids, _ in samples])
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def loss_of(batch, items):
    if way == "all":
        return model(**batch, num_items_in_batch=items).loss
    inner = model.get_base_model()
    states = inner.model(batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False).last_hidden_state
    labels = batch["labels"][:, 1:]
    asked = labels != IGNORED
    logits = inner.lm_head(states[:, :-1][asked])
    cap = getattr(base.config, "final_logit_softcapping", None)
    if cap is not None:
        logits = cap * torch.tanh(logits / cap)
    return torch.nn.functional.cross_entropy(logits.float(), labels[asked], reduction="sum") / items


with open(data) as file:
    rows = json.load(file)
steps = math.ceil(len(rows) / BATCH)
optimiser = torch.optim.AdamW(trained, lr=5e-5, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)
schedule = get_cosine_schedule_with_warmup(optimiser, math.ceil(0.1 * steps), steps)
say({"ready": True, "versions": f"torch {torch.__version__}, transformers {transformers.__version__}, "
     f"peft {peft.__version__}, {base.config._attn_implementation} attention"})

for step in range(steps):
    if not sys.stdin.readline():
        break
    samples = [sample(row) for row in rows[step * BATCH:(step + 1) * BATCH]]
    begin = time.perf_counter()
    batches = [padded(samples[at:at + MICRO]) for at in range(0, len(samples), MICRO)]
    items = sum((batch["labels"] != IGNORED).sum() for batch in batches)
    loss = 0.0
    for batch in batches:
        part = loss_of(batch, items)
        part.backward()
        loss += part.item()
    norm = torch.nn.utils.clip_grad_norm_(trained, 1.0).item()
    optimiser.step()
    schedule.step()
    optimiser.zero_grad()
    ms = (time.perf_counter() - begin) * 1e3
    say({"ms": ms, "loss": loss, "grad_norm": norm, "tokens": sum(len(ids) for ids, _ in samples), "peak": peak()})
