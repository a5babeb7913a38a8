"""python -m tandem_export"""

from tandem_export import main

main()
