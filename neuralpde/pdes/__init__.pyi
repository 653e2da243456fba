from .base import GraphPDE as GraphPDE
from .diffusion import Diffusion as Diffusion
from .oscillator import LinearOscillator as LinearOscillator
from .wave import Wave as Wave
