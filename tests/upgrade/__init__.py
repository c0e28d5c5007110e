"""Pods that earlier versions injected: this version recognises them, and restores the originals."""
