from .report import Report as Report
from .report import Row as Row
from .trial import Trial as Trial
