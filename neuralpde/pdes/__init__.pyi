from .base import GraphPDE as GraphPDE
