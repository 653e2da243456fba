from .deepwalk import deepwalk as deepwalk
from .eigenvectors import laplacian_eigenvectors as laplacian_eigenvectors
from .pagerank import personalized_pagerank as personalized_pagerank
from .returns import random_walk_returns as random_walk_returns
