"""Pods as earlier versions injected them: today's version understands them, and gives the originals back."""
