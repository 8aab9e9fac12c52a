"""A trained run for others: on the Hugging Face hub, as a model card, as an ONNX graph."""
