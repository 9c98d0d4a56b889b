"""A trained model put to use: ONNX, model card, new scans."""
