"""A model for `scripts/check --vllm` where none can be had: `python scripts/toy_vllm.py FOLDER`.

Llama's shape with random weights and a tokenizer made from our own pages. It talks nonsense, but a
server serves it like any other, and a schema makes it call tools. To be run by the Python that has
vLLM, torch, transformers and tokenizers; docs/providers.md says how to serve it.
"""

import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

END, START, STOP = SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TEMPLATE = """\
{%- for tool in tools or [] %}{{ tool | tojson }}
{% endfor %}{% for m in messages %}<|im_start|>{{ m.role }}
{% if m.content is string %}{{ m.content }}{% else -%}
{% for part in m.content or [] %}{{ part.text }}{% endfor %}{% endif %}
{%- for call in m.tool_calls or [] %}<tool_call>{{ call.function | tojson }}</tool_call>
{%- endfor %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def tokenizer() -> PreTrainedTokenizerFast:
    bytewise = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made = Tokenizer(models.BPE())
    made.pre_tokenizer, made.decoder = bytewise, decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=1024, special_tokens=list(SPECIAL), initial_alphabet=alphabet
    )
    pages = sorted(Path(__file__).parent.parent.joinpath("docs").glob("*.md"))
    made.train_from_iterator([page.read_text() for page in pages], trainer)
    named = {"bos_token": START, "eos_token": STOP, "pad_token": END}
    return PreTrainedTokenizerFast(tokenizer_object=made, chat_template=TEMPLATE, **named)


def model(words: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    torch.manual_seed(0)
    made = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(words),
            hidden_size=128,
            intermediate_size=256,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=8192,
            bos_token_id=words.bos_token_id,
            eos_token_id=words.eos_token_id,
        )
    )
    with torch.no_grad():
        _against_silence(made, words)
    return made


def _against_silence(made: LlamaForCausalLM, words: PreTrainedTokenizerFast) -> None:
    """It would end at random, or go on in blanks where a schema allows them. The first dimension
    becomes the same for every token, so that it can hold a bias."""
    made.model.embed_tokens.weight[:, 0] = 1.0
    for layer in made.model.layers:
        layer.self_attn.o_proj.weight[0] = 0
        layer.mlp.down_proj.weight[0] = 0
    made.lm_head.weight[:, 0] = 0
    for id in range(len(words)):
        said = words.decode([id])
        if id in words.all_special_ids or not said.isprintable() or said.isspace():
            made.lm_head.weight[id, 0] = -1.0


if __name__ == "__main__":
    folder = sys.argv[1]
    words = tokenizer()
    words.save_pretrained(folder)
    model(words).save_pretrained(folder)
