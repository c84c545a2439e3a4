"""A run's directory in PEFT, beside what polylens says with it.

usage: peft_loads.py MODEL_DIR RUN_DIR POLYLENS
MODEL_DIR holds the model as Hugging Face directory, RUN_DIR what `polylens train --out` wrote, POLYLENS is the program.
Loads the adapter with PEFT over transformers' model (f32, eager attention) and compares the next token's probabilities
of a few texts; fails where one of the ten most probable differs by more than 1e-3, or the adapter changes nothing.
"""
import json, os, subprocess, sys

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

model_dir, run_dir, program = sys.argv[1:4]
torch.set_grad_enabled(False)
TEXTS = [
    "The review was: 很好。Sentiment: \"",
    "Das Essen war kalt, der Kellner unfreundlich. Bewertung: \"",
    "यह किताब मुझे बहुत पसंद आई। राय: \"",
    "El hotel está cerca de la playa.\nTranslate the input from Spanish to English:\n",
]
model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32, attn_implementation="eager").eval()
model = PeftModel.from_pretrained(model, run_dir).eval()
worst, moved = 0.0, 0.0
for text in TEXTS:
    command = [program, "lens", "--model", model_dir, "--adapter", run_dir, "--text", text, "--json", "--quiet"]
    said = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    ids = torch.tensor([[t["id"] for t in said["tokens"]]])
    ours = {t["id"]: t["p"] for t in said["runs"][1]["layers"][-1]["top"]}
    p = model(ids).logits[0, -1].double().softmax(-1)
    with model.disable_adapter():
        base = model(ids).logits[0, -1].double().softmax(-1)
    difference = max(abs(p[i].item() - x) for i, x in ours.items())
    change = (p - base).abs().max().item()
    print(f"largest difference {difference:.1e}, the adapter moves up to {change:.1e}: {text!r}")
    worst, moved = max(worst, difference), max(moved, change)
if worst > 1e-3 or moved == 0:
    sys.exit(f"largest difference {worst:.1e}, largest change {moved:.1e}")
print(f"PEFT and polylens agree: largest difference {worst:.1e}")
