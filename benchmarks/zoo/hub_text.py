"""Text models of KerasHub."""

import functools
from typing import Any

import keras

from benchmarks.zoo import data, hub
from benchmarks.zoo.registry import Case, Make


def text_classifier(name: str, arguments: dict[str, Any]) -> Case:
    """Return a text classifier."""
    backbone = hub.backbone_of(name, arguments)
    task = getattr(hub.models(), f"{name}TextClassifier")(
        backbone, num_classes=2, preprocessor=None
    )
    x, y = data.tokens(hub.LENGTH, hub.VOCABULARY)
    hub.compiled(task, metrics=["sparse_categorical_accuracy"])
    return Case(task, hub.token_inputs(backbone, x), y)


def masked_lm(name: str, arguments: dict[str, Any]) -> Case:
    """Return a masked language model."""
    backbone = hub.backbone_of(name, arguments)
    task = getattr(hub.models(), f"{name}MaskedLM")(backbone, preprocessor=None)
    ids, places, truth = data.masked(hub.LENGTH, hub.VOCABULARY)
    x = hub.token_inputs(backbone, ids) | {"mask_positions": places}
    hub.compiled(task, weighted_metrics=[])
    return Case(task, x, truth)


def causal_lm(name: str, arguments: dict[str, Any]) -> Case:
    """Return a causal language model that learns to count."""
    backbone = hub.backbone_of(name, arguments)
    task = getattr(hub.models(), f"{name}CausalLM")(
        backbone=backbone, preprocessor=None
    )
    x, y = data.sequences(hub.LENGTH, hub.VOCABULARY)
    hub.compiled(task, keras.optimizers.Adam(5e-3))
    return Case(task, hub.token_inputs(backbone, x), y)


def seq2seq_lm(name: str, arguments: dict[str, Any]) -> Case:
    """Return an encoder and decoder of text."""
    backbone = hub.backbone_of(name, arguments)
    task = getattr(hub.models(), f"{name}Seq2SeqLM")(
        backbone, preprocessor=None
    )
    x, y = data.sequences(hub.LENGTH, hub.VOCABULARY)
    hub.compiled(task, keras.optimizers.Adam(5e-3))
    return Case(task, hub.token_inputs(backbone, x), y)


def _text_rows(backbone: Any) -> Any:
    x, y = data.tokens(hub.LENGTH, hub.VOCABULARY)
    return hub.token_inputs(backbone, x), y


SMOL = {
    "vocabulary_size": hub.VOCABULARY,
    "hidden_dim": 16,
    "intermediate_dim": 32,
    "num_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "attention_bias": False,
    "attention_dropout": 0.0,
    "rope_layer_enabled_list": [True, False],
    "layer_types": ["full_attention", "full_attention"],
    "mlp_bias": False,
    "layer_norm_epsilon": 1e-6,
    "max_position_embeddings": hub.LENGTH,
    "rope_theta": 1e4,
    "partial_rotary_factor": 1.0,
}
RWKV = {
    "hidden_size": 16,
    "head_size": 8,
    "num_layers": 2,
    "vocabulary_size": hub.VOCABULARY,
    "intermediate_dim": 32,
    "gate_lora": 8,
    "mv_lora": 4,
    "aaa_lora": 4,
    "decay_lora": 4,
}
T5GEMMA = {
    f"{part}_{key}": value
    for part in ("encoder", "decoder")
    for key, value in {
        "hidden_dim": 16,
        "intermediate_dim": 32,
        "num_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 8,
        "layer_types": ["full_attention"],
    }.items()
} | {"vocabulary_size": hub.VOCABULARY}
POSITIONS = {"max_sequence_length": hub.LENGTH}
_make = functools.partial

MODELS: dict[str, Make] = {
    "BERT classifier": _make(text_classifier, "Bert", hub.HEADS | POSITIONS),
    "RoBERTa classifier": _make(
        text_classifier, "Roberta", hub.HEADS | POSITIONS
    ),
    "DeBERTa V3 classifier": _make(
        text_classifier,
        "DebertaV3",
        hub.HEADS | POSITIONS | {"bucket_size": 8},
    ),
    "DistilBERT masked LM": _make(
        masked_lm, "DistilBert", hub.HEADS | POSITIONS
    ),
    "ALBERT masked LM": _make(
        masked_lm, "Albert", hub.HEADS | POSITIONS | {"embedding_dim": 8}
    ),
    "F-Net classifier": _make(text_classifier, "FNet", hub.TEXT | POSITIONS),
    "ELECTRA backbone": _make(
        hub.with_head,
        "Electra",
        {k: v for k, v in hub.HEADS.items() if k != "vocabulary_size"}
        | POSITIONS
        | {"vocab_size": hub.VOCABULARY, "embedding_dim": 8},
        _text_rows,
        hub.sequence,
    ),
    "XLNet backbone": _make(
        hub.with_head,
        "XLNet",
        {
            "vocabulary_size": hub.VOCABULARY,
            "num_layers": 2,
            "num_heads": 2,
            "hidden_dim": 16,
            "intermediate_dim": 32,
        },
        _text_rows,
    ),
    "ESM2 masked LM": _make(hub.with_head, "ESM2", hub.HEADS, _text_rows),
    "GPT-2 causal LM": _make(causal_lm, "GPT2", hub.HEADS | POSITIONS),
    "GPT-NeoX causal LM": _make(causal_lm, "GPTNeoX", hub.HEADS),
    "OPT causal LM": _make(causal_lm, "OPT", hub.HEADS | POSITIONS),
    "BLOOM causal LM": _make(causal_lm, "Bloom", hub.HEADS),
    "Falcon causal LM": _make(
        causal_lm,
        "Falcon",
        {
            "vocabulary_size": hub.VOCABULARY,
            "num_layers": 2,
            "num_attention_heads": 2,
            "hidden_dim": 16,
            "intermediate_dim": 32,
        },
    ),
    "Gemma causal LM": _make(causal_lm, "Gemma", hub.GROUPED | {"head_dim": 8}),
    "Gemma 3 causal LM": _make(
        causal_lm,
        "Gemma3",
        hub.GROUPED | {"head_dim": 8, "image_size": 16},
    ),
    "Llama causal LM": _make(causal_lm, "Llama", hub.GROUPED),
    "Llama 3 causal LM": _make(causal_lm, "Llama3", hub.GROUPED),
    "Mistral causal LM": _make(causal_lm, "Mistral", hub.GROUPED),
    "Mixtral causal LM (MoE)": _make(
        causal_lm, "Mixtral", hub.GROUPED | {"num_experts": 3, "top_k": 2}
    ),
    "Qwen 2.5 causal LM": _make(causal_lm, "Qwen", hub.GROUPED),
    "Qwen 3 causal LM": _make(
        causal_lm, "Qwen3", hub.GROUPED | {"head_dim": 8}
    ),
    "Qwen MoE causal LM": _make(
        causal_lm,
        "QwenMoe",
        hub.GROUPED
        | {
            "moe_intermediate_dim": 16,
            "shared_expert_intermediate_dim": 16,
            "num_experts": 3,
            "top_k": 2,
        },
    ),
    "GPT-OSS causal LM (MoE)": _make(
        causal_lm,
        "GptOss",
        hub.GROUPED | {"head_dim": 8, "num_experts": 3, "top_k": 2},
    ),
    "Phi 3 causal LM": _make(causal_lm, "Phi3", hub.GROUPED),
    "SmolLM 3 causal LM": _make(causal_lm, "SmolLM3", SMOL),
    "RWKV 7 causal LM": _make(causal_lm, "RWKV7", RWKV),
    "BART seq2seq LM": _make(seq2seq_lm, "Bart", hub.HEADS | POSITIONS),
    "T5 seq2seq LM": _make(seq2seq_lm, "T5", hub.HEADS | {"key_value_dim": 8}),
    "T5Gemma seq2seq LM": _make(seq2seq_lm, "T5Gemma", T5GEMMA),
    "BERT, 24 blocks": _make(
        text_classifier, "Bert", hub.HEADS | POSITIONS | {"num_layers": 24}
    ),
}
