"""Write a tiny GGUF that llama.cpp runs like any other: a bigram model of words in the form of a one-layer llama.

Attention and feed-forward are zero, so that a token's one-hot embedding, normalized, times the output matrix is the
logarithm of the next word's probability. usage: make_tiny_gguf.py OUT.gguf plain|think|loop
"""

import math
import re
import sys
from itertools import pairwise

import gguf
import numpy as np

SIZE = 512  # size of the vocabulary and of an embedding: one dimension per word
HIDDEN = 64
END = 2
SENTENCES = [
    "The quick fox sees a small river.",
    "A river runs under the old bridge.",
    "The bridge is made of stone and wood.",
    "Stone lasts longer than wood.",
    "The fox likes the old wood.",
    "A small café opens near the bridge.",
    "It sells coffee 😀 and bread.",
    "日本語 text is also fine.",
    "The end of the day is near.",
]
TEMPLATE = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


class Bigrams:
    """Words, and how often each follows another."""

    def __init__(self) -> None:
        self.words = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)] + ["<think>", "</think>"]
        self.place = {word: place for place, word in enumerate(self.words)}
        self.counts: dict[int, dict[int, float]] = {}

    def add(self, word: str) -> int:
        if word not in self.place:
            self.place[word] = len(self.words)
            self.words.append(word)
        return self.place[word]

    def follow(self, first: int, then: int, weight: float = 1.0) -> None:
        after = self.counts.setdefault(first, {})
        after[then] = after.get(then, 0) + weight

    def sentence(self, text: str) -> list[int]:
        places = []
        for word in re.findall(r"[^\s.]+|\.", text):
            if word == ".":
                places.append(self.add("."))
            elif any(ord(character) > 0x2FFF for character in word):  # emoji and CJK are emitted byte by byte
                places.append(self.add("▁"))
                places += [self.place[f"<0x{byte:02X}>"] for byte in word.encode()]
            else:
                places.append(self.add("▁" + word))
        return places


def learn(kind: str) -> tuple[Bigrams, list[int]]:
    """The model's words, and the first words of an answer. `loop` never ends, `think` thinks first."""
    model = Bigrams()
    sentences = [model.sentence(text) for text in SENTENCES]
    thought = [model.add(word) for word in ("▁hmm", "▁let", "▁me", "▁think")]
    starts = [sentence[0] for sentence in sentences]
    for sentence in sentences:
        for first, then in pairwise(sentence):
            model.follow(first, then)
    think, end_think, dot = model.place["<think>"], model.place["</think>"], model.place["."]
    for start in starts:
        model.follow(dot, start)
        model.follow(end_think, start)
    if kind != "loop":
        model.follow(dot, END, 4.0)
    for first, then in zip([think, *thought], [*thought, end_think], strict=True):
        model.follow(first, then)
    return model, [think] if kind == "think" else starts


def write(path: str, kind: str) -> None:
    """Write the model's file."""
    model, starts = learn(kind)
    real = len(model.words)
    tokens = model.words + [f"<pad{place}>" for place in range(real, SIZE)]
    logits = np.full((SIZE, SIZE), -30.0, np.float32)
    for current in range(SIZE):
        after = model.counts.get(current) or dict.fromkeys(starts, 1.0)
        total = sum(after.values())
        for then, count in after.items():
            logits[then, current] = math.log(count / total)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(f"tiny-{kind}")
    writer.add_context_length(4096)
    writer.add_embedding_length(SIZE)
    writer.add_block_count(1)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(8)
    writer.add_head_count_kv(8)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_dimension_count(SIZE // 8)
    writer.add_vocab_size(SIZE)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([-float(place) for place in range(SIZE)])
    # unknown, control, byte, user-defined, normal, unused
    kinds = [2, 3, 3] + [6] * 256 + [4, 4] + [1] * (real - 261) + [5] * (SIZE - real)
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(END)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(TEMPLATE)
    random = np.random.default_rng(0)
    tensors = {
        "token_embd": np.eye(SIZE, dtype=np.float32),
        "output_norm": np.ones(SIZE, np.float32),
        "output": (logits / math.sqrt(SIZE)).astype(np.float32),
        "blk.0.attn_norm": np.ones(SIZE, np.float32),
        "blk.0.ffn_norm": np.ones(SIZE, np.float32),
        "blk.0.attn_q": random.normal(0, 0.02, (SIZE, SIZE)).astype(np.float32),
        "blk.0.attn_k": random.normal(0, 0.02, (SIZE, SIZE)).astype(np.float32),
        "blk.0.attn_v": random.normal(0, 0.02, (SIZE, SIZE)).astype(np.float32),
        "blk.0.attn_output": np.zeros((SIZE, SIZE), np.float32),
        "blk.0.ffn_gate": random.normal(0, 0.02, (HIDDEN, SIZE)).astype(np.float32),
        "blk.0.ffn_up": random.normal(0, 0.02, (HIDDEN, SIZE)).astype(np.float32),
        "blk.0.ffn_down": np.zeros((SIZE, HIDDEN), np.float32),
    }
    for name, tensor in tensors.items():
        writer.add_tensor(f"{name}.weight", tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    write(sys.argv[1], sys.argv[2])
