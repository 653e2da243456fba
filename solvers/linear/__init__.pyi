from .kernels import sddmm as sddmm
from .kernels import spmm as spmm
from .pattern import Pattern as Pattern
from .sparse import SparseOperator as SparseOperator
from .stored import Dense as Dense
from .stored import Diagonal as Diagonal
from .stored import Identity as Identity
