from .drop_weakest import DropWeakest as DropWeakest
from .gdc import GDC as GDC
from .gdc import PPR as PPR
from .gdc import Heat as Heat
from .knn import KNN as KNN
from .largest_component import LargestComponent as LargestComponent
from .undirected import Undirected as Undirected
