from .base import Monitor as Monitor
from .base import Observable as Observable
