"""Operations and the one way to carry them out; knows no room.

Start with `operations` (what an operation declares), then `perform` (the pipeline that every
change and every read of somebody's data goes through).
"""
