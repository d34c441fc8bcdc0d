"""What tests share: fake engines, clocks, marked text, tiny checkpoints. Never shipped."""
