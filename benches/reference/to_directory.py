"""A GGUF file as the Hugging Face directory that the reference reads: f32 weights, a tokenizer that gives the same ids.

usage: to_directory.py FILE.gguf DIR        (with the python that setup.sh makes; FILE as `polylens models pull` fetches it)

The weights go through transformers' own reader of GGUF. Its conversion of the tokenizer is not used: it makes a Unigram
model of Gemma's scores and drops the splitting of digits, so that most texts get other ids. Here the vocabulary's scores
(SentencePiece: Gemma) or merges (byte-level BPE with digits apart: SmolLM2) become a BPE model; other kinds are refused.
"""
import json, os, sys

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
from gguf import GGUFReader
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import AutoModelForCausalLM

if len(sys.argv) != 3:
    sys.exit(__doc__)
file, directory = sys.argv[1:]
SPACE = "\u2581"
PLAIN, CONTROL, USER = 1, 3, 4


class Metadata:
    """The file's fields by name."""

    def __init__(self, path):
        self.fields = GGUFReader(path).fields

    def has(self, name):
        return name in self.fields

    def list(self, name):
        field = self.fields[name]
        return [field.parts[i] for i in field.data]

    def texts(self, name):
        return [bytes(part).decode("utf-8") for part in self.list(name)]

    def numbers(self, name):
        return [part[0].item() for part in self.list(name)]

    def number(self, name, default):
        return self.numbers(name)[0] if self.has(name) else default


def merges_of(pieces, kinds, scores):
    """Pairs in the order in which SentencePiece joins them: the highest score of the whole first."""
    ids = {piece: i for i, piece in enumerate(pieces)}
    joinable = {p for p, kind in zip(pieces, kinds) if kind in (PLAIN, USER)}
    found = []
    for piece, kind, score in zip(pieces, kinds, scores):
        # Runs of spaces are the user's pieces: they are joined before everything, longer halves first.
        spaces = kind == USER and not piece.strip(SPACE)
        if kind != PLAIN and not spaces:
            continue
        for at in range(1, len(piece)):
            left, right = piece[:at], piece[at:]
            if left in joinable and right in joinable:
                rank = (0, -len(left), -len(right)) if spaces else (1, -score, ids[left], ids[right])
                found.append((rank, left, right))
    return [(left, right) for _, left, right in sorted(found, key=lambda m: m[0])]


def sentencepiece(data, pieces, kinds):
    # A run of spaces is stored as it is, spaces elsewhere as the usual sign.
    pieces = [SPACE * len(p) if p and not p.strip(" ") else p for p in pieces]
    merges = merges_of(pieces, kinds, data.numbers("tokenizer.ggml.scores"))
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    made = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    made.normalizer = normalizers.Replace(" ", SPACE)
    made.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    made.decoder = decoders.Sequence([decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()])
    for kind, add in ((USER, made.add_tokens), (CONTROL, made.add_special_tokens)):
        add([AddedToken(p, normalized=False, special=kind == CONTROL)
             for p, k in zip(pieces, kinds) if k == kind and p.strip(SPACE)])
    return made, pieces


def bytelevel(data, pieces, kinds):
    if data.texts("tokenizer.ggml.pre") != ["smollm"]:
        sys.exit(f"{file}: its way of splitting text is not known here; take the model's own Hugging Face directory")
    merges = [tuple(merge.split(" ")) for merge in data.texts("tokenizer.ggml.merges")]
    made = Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, merges))
    made.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(p, normalized=False, special=True)
                             for p, k in zip(pieces, kinds) if k == CONTROL])
    return made, pieces


data = Metadata(file)
pieces, kinds = data.texts("tokenizer.ggml.tokens"), data.numbers("tokenizer.ggml.token_type")
scored = not data.has("tokenizer.ggml.merges")
tokenizer, pieces = (sentencepiece if scored else bytelevel)(data, pieces, kinds)
named = {}
for key, field in (("bos", "bos"), ("eos", "eos"), ("pad", "padding"), ("unk", "unknown")):
    number = data.number(f"tokenizer.ggml.{field}_token_id", None)
    if number is not None:
        named[f"{key}_token"] = pieces[number]
if data.number("tokenizer.ggml.add_bos_token", scored):
    bos = named["bos_token"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A {bos}:1 $B:1", special_tokens=[(bos, pieces.index(bos))])

os.makedirs(directory, exist_ok=True)
folder, name = os.path.split(os.path.abspath(file))
model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
model.save_pretrained(directory, safe_serialization=True)
tokenizer.save(os.path.join(directory, "tokenizer.json"), pretty=False)
with open(os.path.join(directory, "tokenizer_config.json"), "w") as out:
    json.dump(named | {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}, out)
print(f"{directory}: {len(pieces)} tokens, {sum(p.numel() for p in model.parameters()) / 1e6:.0f} million weights")
