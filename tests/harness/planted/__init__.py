"""Downloaders that read shares by themselves: correct ones, and ones with one planted defect."""
