from ._compare import compare_report as compare_report
from ._detect import detect_report as detect_report
from ._page import write_html as write_html
